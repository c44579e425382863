/* onnx_conformance [-v] FOLDER...: ONNX backend tests, each FOLDER a case or a folder of cases; a table of passed, failed and
 * unsupported cases per op. Ends with 1 if a case failed. -v names the cases that did not pass and why. */
#include "onnx/conformance.h"

typedef struct tally {
    char op[64];
    int count[3];
} tally;

static tally tallies[512];
static int ops;

static void count_case(const char *op, verdict v) {
    int i = 0;
    while (i < ops && strcmp(tallies[i].op, op) != 0) {
        i++;
    }
    if (i == 512) {
        return;
    }
    ops += i == ops;
    snprintf(tallies[i].op, sizeof(tallies[i].op), "%s", op);
    tallies[i].count[v]++;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const tally *)a)->op, ((const tally *)b)->op);
}

static bool has_data(const char *folder, int set) {
    char path[8192];
    snprintf(path, sizeof(path), "%s/test_data_set_%d", folder, set);
    return access(path, R_OK) == 0;
}

static void run_case(crumb_ctx *ctx, const char *folder, bool verbose) {
    static const char *const words[] = {"passed", "FAILED", "unsupported"};
    verdict worst = PASSED;
    char op[64] = "?";
    for (int set = 0; worst == PASSED && has_data(folder, set); set++) {
        crumb_text why = {.ctx = ctx};
        verdict v = conformance_case(ctx, folder, set, op, &why);
        worst = v > worst ? v : worst;
        if (v != PASSED && (verbose || v == FAILED)) {
            printf("%-12s %s: %s\n", words[v], folder, why.at != NULL ? why.at : "");
        }
        crumb_free(ctx, why.at);
    }
    count_case(op, worst);
}

static void run_folder(crumb_ctx *ctx, const char *folder, bool verbose) {
    struct dirent **entries;
    if (has_data(folder, 0)) {
        run_case(ctx, folder, verbose);
        return;
    }
    int count = scandir(folder, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        char path[4096];
        snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.' && has_data(path, 0)) {
            run_case(ctx, path, verbose);
        }
        free(entries[i]);
    }
    if (count >= 0) {
        free(entries);
    }
}

int main(int argc, char **argv) {
    crumb_ctx *ctx;
    bool verbose = argc > 1 && strcmp(argv[1], "-v") == 0;
    if (crumb_ctx_create(&ctx, &(crumb_settings){.threads = 1}) != CRUMB_OK) {
        return 1;
    }
    for (int i = verbose ? 2 : 1; i < argc; i++) {
        run_folder(ctx, argv[i], verbose);
    }
    int total[3] = {0};
    qsort(tallies, (size_t)ops, sizeof(tallies[0]), by_name);
    printf("%-28s %8s %8s %12s\n", "op", "passed", "failed", "unsupported");
    for (int i = 0; i < ops; i++) {
        for (int v = 0; v < 3; v++) {
            total[v] += tallies[i].count[v];
        }
        if (tallies[i].count[PASSED] + tallies[i].count[FAILED] > 0 || verbose) {
            printf("%-28s %8d %8d %12d\n", tallies[i].op, tallies[i].count[0], tallies[i].count[1], tallies[i].count[2]);
        }
    }
    printf("%-28s %8d %8d %12d\n", "all", total[0], total[1], total[2]);
    crumb_ctx_destroy(ctx);
    return total[FAILED] > 0;
}
