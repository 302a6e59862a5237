variable "PWD" { default = "" }
variable "TARGET_CACHE_ID" { default = "main" }
variable "CI" { default = "false" }
variable "GIT_SHA" { default = "" }

function "generate_tags" {
  params = [name]
  result = compact([
    "us-docker.pkg.dev/acme/docker/${name}:${TARGET_CACHE_ID}",
    equal(GIT_SHA, "") ? "" : "us-docker.pkg.dev/acme/docker/${name}:${GIT_SHA}",
  ])
}
function "generate_cache_to" {
  params = [name]
  result = CI == "true" ? ["type=registry,ref=us-docker.pkg.dev/acme/cache/${name}:${TARGET_CACHE_ID},mode=max"] : []
}

group "all" { targets = ["validator", "faucet"] }

target "builder" {
  dockerfile = "docker/builder/builder.Dockerfile"
  context = "${PWD}/src"
  target = "builder"
  args = { PROFILE = "release" }
}
target "validator" {
  inherits = ["builder"]
  dockerfile = "docker/validator.Dockerfile"
  target = null
  contexts = { builder = "target:builder" }
  tags = generate_tags("validator")
  cache-to = generate_cache_to("validator")
}
target "faucet" {
  inherits = ["validator"]
  dockerfile = "docker/faucet.Dockerfile"
  tags = generate_tags("faucet")
  cache-to = generate_cache_to("faucet")
}
