# ONNX messages in C: Debian's schema (libonnx-dev) through protobuf-c. The package is renamed, so that every symbol begins with
# crumb_ and a program may link another copy of ONNX; the name of a package is not part of a file.
find_program(PROTOC_C protoc-c REQUIRED)
find_path(ONNX_SCHEMA onnx/onnx.proto REQUIRED)
pkg_check_modules(PROTOBUF_C REQUIRED IMPORTED_TARGET libprotobuf-c)

set(ONNX_DIR ${PROJECT_BINARY_DIR}/schema)
file(READ ${ONNX_SCHEMA}/onnx/onnx.proto schema)
string(REPLACE "package onnx;" "package crumb_onnx;" schema "${schema}")
file(CONFIGURE OUTPUT ${ONNX_DIR}/onnx.proto CONTENT "${schema}" @ONLY)
add_custom_command(
  OUTPUT ${ONNX_DIR}/onnx.pb-c.c ${ONNX_DIR}/onnx.pb-c.h
  COMMAND ${PROTOC_C} --proto_path=${ONNX_DIR} --c_out=${ONNX_DIR} ${ONNX_DIR}/onnx.proto
  DEPENDS ${ONNX_DIR}/onnx.proto
  VERBATIM)
set_source_files_properties(${ONNX_DIR}/onnx.pb-c.c PROPERTIES COMPILE_OPTIONS -w)
