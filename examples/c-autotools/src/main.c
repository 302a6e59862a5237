/* crcsum: print the CRC-32 of files, and how unevenly their bytes are spread. */

#include "config.h"
#include "crcsum.h"

#include <errno.h>
#ifdef HAVE_POSIX_FADVISE
#include <fcntl.h>
#endif
#include <stdio.h>
#include <string.h>

#ifdef WORDS_BIGENDIAN
#define BYTE_ORDER_NAME "big-endian"
#else
#define BYTE_ORDER_NAME "little-endian"
#endif

static int sum(FILE *file, const char *name)
{
    unsigned char bytes[4096];
    struct spread spread = {{0}};
    uint32_t crc = 0;
    size_t length;

#ifdef HAVE_POSIX_FADVISE
    posix_fadvise(fileno(file), 0, 0, POSIX_FADV_SEQUENTIAL);
#endif
    while ((length = fread(bytes, 1, sizeof bytes, file)) > 0) {
        crc = crc32(crc, bytes, length);
        spread_add(&spread, bytes, length);
    }
    if (ferror(file)) {
        fprintf(stderr, "crcsum: %s: %s\n", name, strerror(errno));
        return 1;
    }
    printf("%08lx  %6.3f  %s\n", (unsigned long) crc, spread_variation(&spread), name);
    return 0;
}

static int sum_file(const char *name)
{
    FILE *file = fopen(name, "rb");
    if (file == NULL) {
        fprintf(stderr, "crcsum: %s: %s\n", name, strerror(errno));
        return 1;
    }
    int status = sum(file, name);
    fclose(file);
    return status;
}

/* What configure was told is compared with what runs: a wrong config.h fails here. */
static int self_test(void)
{
    static const unsigned char digits[] = "123456789";
    static const uint16_t one = 1;
    int is_big_endian = *(const unsigned char *) &one == 0;
    int failures = 0;

    if (crc32(0, digits, 9) != UINT32_C(0xCBF43926)) {
        fputs("crcsum: wrong CRC-32 of 123456789\n", stderr);
        failures++;
    }
    if (crc32(crc32(0, digits, 4), digits + 4, 5) != crc32(0, digits, 9)) {
        fputs("crcsum: a CRC-32 in two parts differs\n", stderr);
        failures++;
    }
    if (is_big_endian != (strcmp(BYTE_ORDER_NAME, "big-endian") == 0)) {
        fputs("crcsum: this machine is not " BYTE_ORDER_NAME "\n", stderr);
        failures++;
    }
    printf("crcsum: " BYTE_ORDER_NAME ", %zu-bit: %s\n", 8 * sizeof(void *), failures == 0 ? "ok" : "FAILED");
    return failures != 0;
}

int main(int count, char **words)
{
    int status = 0;

    if (count == 2 && strcmp(words[1], "--self-test") == 0) {
        return self_test();
    }
    if (count == 1) {
        return sum(stdin, "-");
    }
    for (int index = 1; index < count; index++) {
        status |= sum_file(words[index]);
    }
    return status;
}
