module example.org/endian

go 1.19
