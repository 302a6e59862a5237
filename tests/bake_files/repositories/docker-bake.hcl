variable "VERSION" { default = "2.0.0" }
target "default" {
  platforms = split(",", "linux/amd64,linux/arm64,linux/riscv64")
  tags = flatten([for host in ["docker.io", "ghcr.io", "quay.io"] : [
    "${host}/acme/app:${VERSION}",
    "${host}/acme/app:latest",
  ]])
}
