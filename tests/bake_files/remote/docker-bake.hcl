target "default" {
  context = "https://github.com/acme/app.git#v1.2.3"
  dockerfile = "build/Dockerfile"
  tags = ["acme/app:v1.2.3"]
  platforms = ["linux/x86_64", "linux/arm64/v8", "linux/arm/v7"]
}
