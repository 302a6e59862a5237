#include "crcsum.h"

#define POLYNOMIAL UINT32_C(0xEDB88320)

static uint32_t table[256];

static void fill_table(void)
{
    for (uint32_t value = 0; value < 256; value++) {
        uint32_t crc = value;
        for (int bit = 0; bit < 8; bit++) {
            crc = crc & 1 ? crc >> 1 ^ POLYNOMIAL : crc >> 1;
        }
        table[value] = crc;
    }
}

uint32_t crc32(uint32_t crc, const unsigned char *bytes, size_t length)
{
    if (table[1] == 0) {
        fill_table();
    }
    crc = ~crc;
    while (length--) {
        crc = crc >> 8 ^ table[(crc ^ *bytes++) & 0xFF];
    }
    return ~crc;
}
