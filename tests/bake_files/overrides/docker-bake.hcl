target "default" {
  tags = ["acme/app:dev"]
  args = { MODE = "dev", KEPT = "yes" }
  output = ["type=docker"]
}
