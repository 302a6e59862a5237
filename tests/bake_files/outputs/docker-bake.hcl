target "local" { output = ["type=docker"] }
target "layout" { output = ["type=oci,dest=out.tar"] }
target "artifacts" { output = ["./bin"] }
target "zstd" { output = ["type=image,compression=zstd,force-compression=true,push=true"] }
target "native" { platforms = ["local"] }
target "outline" { call = "outline" }
group "default" { targets = ["local", "layout", "artifacts", "zstd", "native", "outline"] }
