target "default" {
  tags = ["acme/app:latest", "acme/app:1", "registry.example.org/mirror/app:1"]
}
