/* A trained network and packed ones. */
#ifndef CRUMB_PACKING_H
#define CRUMB_PACKING_H

#include "lower/lower.h"
#include "train/network.h"

/* The normalisation that the network's file says, a value a channel; UNSUPPORTED if it says none. */
crumb_status crumb_network_pixels(const crumb_network *network, float mean[4], float deviation[4]);

#endif
