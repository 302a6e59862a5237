variable "FLAVOUR" {
  default = "slim"
  validation {
    condition = FLAVOUR == "slim" || FLAVOUR == "full"
    error_message = "FLAVOUR is slim or full."
  }
}
variable "JOBS" {
  type = number
  default = 4
}
target "default" {
  args = { FLAVOUR = FLAVOUR, JOBS = JOBS }
  tags = ["acme/app:${FLAVOUR}"]
}
