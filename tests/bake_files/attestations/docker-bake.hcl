target "_release" {
  attest = ["type=provenance,mode=max", { type = "sbom" }]
  output = ["type=image,push=true"]
}
target "app" {
  inherits = ["_release"]
  annotations = [
    "index:org.opencontainers.image.source=https://example.org/app",
    "index,manifest-descriptor:org.example.build=7",
    "manifest-descriptor[linux/arm64]:org.example.board=pi",
  ]
  platforms = ["linux/amd64", "linux/arm64"]
  tags = ["acme/app"]
}
target "plain" {
  attest = ["type=provenance,disabled=true"]
  output = ["type=registry,oci-mediatypes=false"]
  tags = ["acme/plain"]
}
group "default" { targets = ["app", "plain"] }
