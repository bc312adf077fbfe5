/* What is said between the connector and those who ask it: a packet each way. */
#ifndef CONNECTOR_REQUEST_H
#define CONNECTOR_REQUEST_H

#include <stdint.h>

/* number is the asker's, and comes back: an answer that could not be received is not taken for another's. */
struct connector_request {
	uint32_t number, index;
};

struct connector_answer {
	uint32_t number;
	int32_t error; /* 0: the connection comes along */
};

#endif
