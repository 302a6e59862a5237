target "default" {
  secret = [
    "type=env,id=NPM_TOKEN",
    "id=netrc,src=./netrc",
    { id = "aws", env = "AWS_SESSION_TOKEN" },
  ]
  ssh = ["default"]
  tags = ["acme/private"]
}
