/* Run folders: the same bytes as every file that a report reads. */
#include "crumb/report.h"
#include "report/plot.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *const names[] = {"log.jsonl",    "histograms.jsonl", "recipe.yaml",     "result.json",
                                    "compare.json", "surface.json",     "best.safetensors"};
enum { FILES = sizeof(names) / sizeof(names[0]) };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void each_file(const char *folder, const uint8_t *data, size_t size) {
    for (int i = 0; i < FILES; i++) {
        char path[128];
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        FILE *file = data != NULL ? fopen(path, "wb") : NULL;
        if (file != NULL) {
            fwrite(data, 1, size, file);
            fclose(file);
        } else {
            unlink(path);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char folder[] = "/tmp/crumb-fuzz-XXXXXX", *text = NULL;
    crumb_ctx *ctx;
    crumb_report *report;
    if (mkdtemp(folder) == NULL || crumb_ctx_create(&ctx, NULL) != CRUMB_OK) {
        return 0;
    }
    each_file(folder, data, size);
    if (crumb_report_open(ctx, (const char *const[]){folder}, 1, &report) == CRUMB_OK) {
        if (crumb_report_json(report, &text) != CRUMB_OK) {
            abort(); /* whatever the files hold, the table is JSON */
        }
        crumb_free(ctx, text);
        crumb_report_close(report);
    }
    each_file(folder, NULL, 0);
    rmdir(folder);
    crumb_ctx_destroy(ctx);
    return 0;
}
