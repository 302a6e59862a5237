target "default" {
  network = "host"
  entitlements = ["network.host", "security.insecure"]
  extra-hosts = { "mirror.example.org" = "192.0.2.1" }
  ulimits = ["nofile=1024:2048", "nproc=512"]
  shm-size = "128m"
  no-cache = true
  pull = false
}
