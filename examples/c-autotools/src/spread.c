#include "crcsum.h"

#include <math.h>

void spread_add(struct spread *spread, const unsigned char *bytes, size_t length)
{
    while (length--) {
        spread->counts[*bytes++]++;
    }
}

double spread_variation(const struct spread *spread)
{
    double sum = 0, squares = 0;
    for (int value = 0; value < 256; value++) {
        sum += (double) spread->counts[value];
        squares += (double) spread->counts[value] * (double) spread->counts[value];
    }
    double mean = sum / 256;
    return sum > 0 ? sqrt(squares / 256 - mean * mean) / mean : 0;
}
