target "base" {
  context = "base"
  platforms = ["linux/amd64", "linux/arm64"]
}
target "runtime" {
  context = "runtime"
  contexts = { base = "target:base" }
  platforms = ["linux/amd64", "linux/arm64"]
}
target "default" {
  context = "app"
  contexts = {
    runtime = "target:runtime"
    "alpine:3" = "docker-image://alpine:3.22"
    shared = "./shared"
    docs = "https://github.com/acme/docs.git#main"
  }
  platforms = ["linux/amd64", "linux/arm64"]
  tags = ["registry.example.org/acme/app:1"]
}
