/* The parts of the network's plan. */
#ifndef PLAN_NET_H
#define PLAN_NET_H

#include "ph/error.h"
#include "plan/strings.h"

/* publish.c: add to passt's command line what [ADDRESS:]PORT:GUEST[/udp] asks for. 0, or -errno with *error
 * set: it is malformed, or the port is taken. */
int plan_publish(struct strings *arguments, const char *option, struct error *error);

#endif
