target "default" {
  tags = ["acme/app:release"]
  args = { MODE = "release" }
  output = ["type=registry"]
}
