/* ONNX files as C structs: the messages that protobuf-c makes of the schema (CrumbOnnx__ModelProto ...), read with care.
 *
 * protobuf-c recurses as deep as a file says and allocates what it says. So the bytes are walked first, with the same schema:
 * every length inside its parent, at most CRUMB_ONNX_DEPTH messages inside each other, at most CRUMB_ONNX_MESSAGES of them,
 * texts without zero bytes. Only then are they unpacked, into memory of the context. */
#ifndef CRUMB_ONNX_MESSAGE_H
#define CRUMB_ONNX_MESSAGE_H

#include "base/ctx.h"
#include "onnx.pb-c.h"

enum { CRUMB_ONNX_DEPTH = 24, CRUMB_ONNX_MESSAGES = 2000000 };

/* Unpacks one message of the type that `type` describes; `name` stands for the file in messages. Free with crumb_onnx_free. */
crumb_status crumb_onnx_unpack(crumb_ctx *ctx, const char *name, const ProtobufCMessageDescriptor *type, const uint8_t *data,
                               size_t size, ProtobufCMessage **message);
/* A whole file of one message. A file above 2 GiB is refused: protobuf has no such messages. */
crumb_status crumb_onnx_open(crumb_ctx *ctx, const char *path, const ProtobufCMessageDescriptor *type,
                             ProtobufCMessage **message);
void crumb_onnx_free(crumb_ctx *ctx, void *message); /* NULL is allowed */

#endif
