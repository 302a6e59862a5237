group "default" { targets = ["services", "cli"] }
group "services" { targets = ["workers", "api"] }
group "workers" { targets = ["mailer", "indexer"] }
group "validate" { targets = ["lint", "vendor"] }

target "api" { context = "services/api" }
target "mailer" { context = "services/mailer" }
target "indexer" {
  context = "services/indexer"
  dockerfile = "../../docker/indexer.Dockerfile"
}
target "cli" { dockerfile = "cwd://docker/cli.Dockerfile" }
target "lint" {
  dockerfile = "hack/lint.Dockerfile"
  output = ["type=cacheonly"]
}
target "vendor" {
  dockerfile = "hack/vendor.Dockerfile"
  target = "update"
  output = ["."]
}
