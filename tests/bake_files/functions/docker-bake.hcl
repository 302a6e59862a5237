variable "VERSION" { default = "1.4.2" }

function "series" {
  params = [version]
  result = join(".", slice(split(".", version), 0, 2))
}

function "names" {
  params = [repository, version]
  result = [for tag in [version, series(version), "latest"] : "${repository}:${tag}"]
}

target "default" {
  args = {
    SERIES = series(VERSION)
    SHOUT = upper("edge")
    LITERAL = "$${NOT_A_VARIABLE}"
  }
  labels = { "org.opencontainers.image.version" = VERSION }
  tags = names("docker.io/acme/tool", VERSION)
}
