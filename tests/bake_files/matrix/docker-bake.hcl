variable "REGISTRY" { default = "ghcr.io/acme" }
variable "VERSION" { default = "" }

group "default" { targets = ["app"] }

target "app" {
  name = "app-${item}"
  matrix = { item = ["web", "scheduler", "events"] }
  dockerfile = "docker/Dockerfile"
  target = item
  platforms = ["linux/amd64", "linux/arm64"]
  tags = formatlist("${REGISTRY}/${item}:%s", compact(["latest", VERSION]))
}
