/*
 * The sound test's tone and its ear, for raw little-endian samples of 16 bits, one channel, 44100 a second.
 *
 *   sound_tone make FREQUENCY SECONDS    to standard output
 *   sound_tone hear                      from standard input: the frequency and the loudest sample
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RATE 44100

static int make(double frequency, double seconds) {
	for (long i = 0; i < (long)(seconds * RATE); i++) {
		int16_t sample = (int16_t)(20000 * sin(2 * M_PI * frequency * (double)i / RATE));
		fwrite(&sample, sizeof(sample), 1, stdout);
	}
	return fflush(stdout);
}

/* From the first to the last time the signal rises through zero, silence left out. */
static int hear(void) {
	long first = -1, last = -1, rises = 0, at = 0;
	int16_t sample, loudest = 0;
	int below = 0;
	for (; fread(&sample, sizeof(sample), 1, stdin) == 1; at++) {
		loudest = sample > loudest ? sample : loudest;
		below = below || sample < -5000;
		if (below && sample > 5000) {
			below = 0;
			rises += first >= 0;
			first = first < 0 ? at : first;
			last = at;
		}
	}
	printf("%.0f Hz, %d\n", last > first ? (double)rises * RATE / (double)(last - first) : 0.0, loudest);
	return 0;
}

int main(int argc, char **argv) {
	if (argc > 3 && strcmp(argv[1], "make") == 0) {
		return make(atof(argv[2]), atof(argv[3]));
	}
	return argc > 1 && strcmp(argv[1], "hear") == 0 ? hear() : 2;
}
