// Command endian prints bytes as the machine it runs on would store a number.
package main

import (
	"encoding/binary"
	"encoding/hex"
	"os"
	"runtime"
	"strconv"
	"unsafe"
)

// native returns the byte order of the machine, found out as it runs.
func native() binary.ByteOrder {
	one := uint16(1)
	if *(*byte)(unsafe.Pointer(&one)) == 1 {
		return binary.LittleEndian
	}
	return binary.BigEndian
}

// stored returns the bytes of a number in memory.
func stored(number uint64) string {
	bytes := make([]byte, 8)
	native().PutUint64(bytes, number)
	return hex.EncodeToString(bytes)
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "--self-test" {
		selfTest()
		return
	}
	for _, word := range os.Args[1:] {
		number, err := strconv.ParseUint(word, 0, 64)
		if err != nil {
			fail(err.Error())
		}
		os.Stdout.WriteString(stored(number) + "\n")
	}
}

// selfTest compares the architecture this was compiled for with what its memory looks like.
func selfTest() {
	if isBigEndian := native() == binary.BigEndian; isBigEndian != (runtime.GOARCH == "s390x") {
		fail("this machine is not " + runtime.GOARCH)
	}
	number := uint64(0x0102030405060708)
	if *(*uint64)(unsafe.Pointer(&unhex(stored(number))[0])) != number {
		fail("a number differs from its bytes")
	}
	os.Stdout.WriteString("endian: " + native().String() + " on " + runtime.GOARCH + ": ok\n")
}

func unhex(text string) []byte {
	bytes, err := hex.DecodeString(text)
	if err != nil {
		fail(err.Error())
	}
	return bytes
}

func fail(text string) {
	os.Stderr.WriteString("endian: " + text + "\n")
	os.Exit(1)
}
