/* Reads one JSON object from stdin and nothing after it. json_check KEY... : every key is there; prints their values, one a line
 * (strings bare, members of an object or array by path: "layers.0.name"). Ends with 1 and says what is wrong. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The value at a path of keys and indices, NULL if there is none. */
static json_t *at_path(json_t *value, const char *path) {
    while (value != NULL && *path != '\0') {
        char key[128];
        size_t length = strcspn(path, ".");
        snprintf(key, sizeof(key), "%.*s", (int)length, path);
        value = json_is_array(value) ? json_array_get(value, strtoul(key, NULL, 10)) : json_object_get(value, key);
        path += length + (path[length] == '.');
    }
    return value;
}

int main(int argc, char **argv) {
    json_error_t error;
    json_t *object = json_loadf(stdin, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(object)) {
        fprintf(stderr, "json_check: not one JSON object: %s (line %d)\n", error.text, error.line);
        return 1;
    }
    int missing = 0;
    for (int i = 1; i < argc; i++) {
        json_t *value = at_path(object, argv[i]);
        if (value == NULL) {
            fprintf(stderr, "json_check: no \"%s\"\n", argv[i]);
            missing = 1;
        } else if (json_is_string(value)) {
            puts(json_string_value(value));
        } else {
            json_dumpf(value, stdout, JSON_ENCODE_ANY | JSON_COMPACT);
            putchar('\n');
        }
    }
    json_decref(object);
    return missing;
}
