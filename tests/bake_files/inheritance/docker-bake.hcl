target "_common" {
  args = { BUILDKIT_CONTEXT_KEEP_GIT_DIR = 1, GO_VERSION = "1.25" }
  labels = { "org.opencontainers.image.vendor" = "Acme" }
}

target "_platforms" {
  platforms = ["linux/amd64", "linux/arm/v6", "linux/arm/v7", "linux/arm64"]
}

target "binary" {
  inherits = ["_common"]
  target = "binary"
  args = { GO_VERSION = "1.26" }
  tags = ["acme/binary"]
}

target "image-all" {
  inherits = ["binary", "_platforms"]
  target = "image"
  tags = ["acme/image:edge"]
}

group "default" { targets = ["binary", "image-all"] }
