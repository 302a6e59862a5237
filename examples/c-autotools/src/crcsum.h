#ifndef CRCSUM_H
#define CRCSUM_H

#include <stddef.h>
#include <stdint.h>

/* The CRC-32 of IEEE 802.3, as in gzip and zip: begin with 0, and pass the result on for further bytes. */
uint32_t crc32(uint32_t crc, const unsigned char *bytes, size_t length);

/* How often each value of a byte was seen. */
struct spread {
    uint64_t counts[256];
};

void spread_add(struct spread *spread, const unsigned char *bytes, size_t length);

/* The standard deviation of the counts, over their mean: 0 for evenly spread bytes. */
double spread_variation(const struct spread *spread);

#endif
