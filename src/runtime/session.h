/* What evaluation and verification see of a session: its network; the values between the layers. */
#ifndef CRUMB_SESSION_H
#define CRUMB_SESSION_H

#include "pack/packed.h"

const crumb_packed *crumb_session_packed(const crumb_session *session);

/* A plan whose sessions keep every value until the end of a run; otherwise the same, kernels and chains included. */
crumb_status crumb_plan_create_keeping(crumb_packed *packed, crumb_plan **plan);

/* After a run of one image by a session of batch 1 of such a plan: the value's numbers [H, W, C], or its indices. The other is
 * NULL. Valid until the next run. */
const float *crumb_session_reals(const crumb_session *session, int32_t value);
const uint8_t *crumb_session_indices(const crumb_session *session, int32_t value);

#endif
