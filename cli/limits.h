/* What reports of speed share: the machine's limits, the layers of a network beside them. */
#ifndef CLI_LIMITS_H
#define CLI_LIMITS_H

#include "cli.h"
#include "crumb/measure.h"

json_t *cli_limits_json(const crumb_limits *limits);
void cli_limits_print(const crumb_limits *limits);
/* "83 %", "" where there is no limit. */
const char *cli_share(double least, double seconds, char text[CLI_NUMBER]);

typedef struct cli_profile {
    const crumb_packed *packed;
    const double *seconds; /* of each layer, for all images */
    const crumb_limits *limits;
    int64_t images, batch; /* batch: images that went through a layer together */
} cli_profile;

/* seconds[layers] that the session has spent in each layer so far. */
void cli_profile_read(double *seconds, const crumb_session *session, int layers);
json_t *cli_profile_json(const cli_profile *profile);
void cli_profile_print(const cli_profile *profile);

#endif
