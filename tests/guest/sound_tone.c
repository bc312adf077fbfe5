/*
 * The sound test's tone and its ear, for raw little-endian samples of 16 bits, one channel, 44100 a second.
 *
 *   sound_tone make FREQUENCY SECONDS    to standard output
 *   sound_tone hear                      from standard input: the frequency and the loudest sample
 *   sound_tone levels FREQUENCY...       from standard input: how loud each of them is in it
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

/* By the Goertzel algorithm, in pieces: where a sound has gaps, a wave begins anew behind each. */
static int levels(int count, char **frequencies) {
	static int16_t samples[RATE / 10];
	double sums[8] = {0};
	long pieces = 0;
	for (; fread(samples, sizeof(samples), 1, stdin) == 1; pieces++) {
		for (int i = 0; i < count; i++) {
			double step = 2 * cos(2 * M_PI * atof(frequencies[i]) / RATE), last = 0, before = 0;
			for (int at = 0; at < RATE / 10; at++) {
				double now = samples[at] + step * last - before;
				before = last;
				last = now;
			}
			double power = last * last + before * before - step * last * before;
			sums[i] += 2 * sqrt(power > 0 ? power : 0) / (RATE / 10);
		}
	}
	for (int i = 0; i < count; i++) {
		printf(i == 0 ? "%.0f" : " %.0f", pieces > 0 ? sums[i] / (double)pieces : 0.0);
	}
	puts("");
	return 0;
}

int main(int argc, char **argv) {
	if (argc > 3 && strcmp(argv[1], "make") == 0) {
		return make(atof(argv[2]), atof(argv[3]));
	}
	if (argc > 2 && argc < 11 && strcmp(argv[1], "levels") == 0) {
		return levels(argc - 2, argv + 2);
	}
	return argc > 1 && strcmp(argv[1], "hear") == 0 ? hear() : 2;
}
