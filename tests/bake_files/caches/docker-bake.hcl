variable "CI" { default = false }

target "_cache" {
  cache-from = [
    { type = "registry", ref = "ghcr.io/acme/app:cache" },
    "type=gha,scope=app",
    "ghcr.io/acme/app:latest",
    equal(true, CI) ? "type=local,src=/tmp/.buildx-cache" : "",
  ]
  cache-to = [
    { type = "registry", ref = "ghcr.io/acme/app:cache", mode = "max" },
    "type=gha,scope=app,mode=max",
  ]
}
target "app" {
  inherits = ["_cache"]
  platforms = ["linux/amd64", "linux/arm64"]
  tags = ["ghcr.io/acme/app:latest"]
}
target "native" {
  inherits = ["_cache"]
  platforms = ["linux/amd64"]
}
target "inline" {
  cache-from = ["type=registry,ref=acme/inline:latest"]
  cache-to = ["type=inline"]
}
group "default" { targets = ["app", "native", "inline"] }
