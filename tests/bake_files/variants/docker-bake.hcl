group "default" { targets = ["php"] }

target "php" {
  name = "php-${replace(version, ".", "-")}-${os.name}"
  description = "PHP ${version} on ${os.name}"
  matrix = {
    version = ["8.3", "8.4"]
    os = [
      { name = "bookworm", file = "Debian.Dockerfile" },
      { name = "alpine", file = "Alpine.Dockerfile" },
    ]
  }
  context = "variants"
  dockerfile = os.file
  args = { PHP_VERSION = version }
  platforms = os.name == "alpine" ? ["linux/amd64", "linux/arm64", "linux/arm/v6"] : ["linux/amd64", "linux/arm64"]
  tags = version == "8.4" ? ["acme/php:8.4-${os.name}", "acme/php:${os.name}"] : ["acme/php:8.3-${os.name}"]
}
