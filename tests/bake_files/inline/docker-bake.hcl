target "default" {
  dockerfile-inline = <<EOT
FROM alpine:3.22
RUN apk add --no-cache curl
EOT
  tags = ["acme/curl"]
}
