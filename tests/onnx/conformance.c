/* onnx_conformance [-v] [-p] FOLDER...: ONNX backend tests, each FOLDER a case or a folder of cases; a table of passed, failed
 * and unsupported cases per op. Ends with 1 if a case failed. -v names the cases that did not pass and why. -p also packs what
 * passes, runs it, and counts that. */
#include "onnx/conformance.h"

typedef struct tally {
    char op[64];
    int count[3], packed[3];
} tally;

static tally tallies[512];
static int ops;

static void count_case(const char *op, verdict v, verdict packed) {
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
    tallies[i].packed[packed] += v == PASSED;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const tally *)a)->op, ((const tally *)b)->op);
}

static bool has_data(const char *folder, int set) {
    char path[8192];
    snprintf(path, sizeof(path), "%s/test_data_set_%d", folder, set);
    return access(path, R_OK) == 0;
}

static void run_case(crumb_ctx *ctx, const char *folder, bool verbose, bool pack) {
    static const char *const words[] = {"passed", "FAILED", "unsupported"};
    verdict worst = PASSED, worst_packed = PASSED;
    char op[64] = "?";
    for (int set = 0; worst == PASSED && has_data(folder, set); set++) {
        crumb_text why = {.ctx = ctx};
        verdict packed = PASSED, v = conformance_case(ctx, folder, set, op, pack ? &packed : NULL, &why);
        worst = v > worst ? v : worst;
        worst_packed = packed > worst_packed ? packed : worst_packed;
        v = v == PASSED ? packed : v;
        if (v != PASSED && (verbose || v == FAILED)) {
            printf("%-12s %s: %s\n", words[v], folder, why.at != NULL ? why.at : "");
        }
        crumb_free(ctx, why.at);
    }
    count_case(op, worst, worst_packed);
}

static void run_folder(crumb_ctx *ctx, const char *folder, bool verbose, bool pack) {
    struct dirent **entries;
    if (has_data(folder, 0)) {
        run_case(ctx, folder, verbose, pack);
        return;
    }
    int count = scandir(folder, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        char path[4096];
        snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.' && has_data(path, 0)) {
            run_case(ctx, path, verbose, pack);
        }
        free(entries[i]);
    }
    if (count >= 0) {
        free(entries);
    }
}

static void print_row(const char *op, const int count[3], const int packed[3], bool pack) {
    printf("%-28s %8d %8d %12d", op, count[PASSED], count[FAILED], count[UNSUPPORTED]);
    if (pack) {
        printf(" %8d %8d %12d", packed[PASSED], packed[FAILED], packed[UNSUPPORTED]);
    }
    printf("\n");
}

int main(int argc, char **argv) {
    crumb_ctx *ctx;
    bool verbose = false, pack = false;
    int first = 1;
    for (; first < argc && argv[first][0] == '-'; first++) {
        verbose = verbose || strcmp(argv[first], "-v") == 0;
        pack = pack || strcmp(argv[first], "-p") == 0;
    }
    if (crumb_ctx_create(&ctx, &(crumb_settings){.threads = 1}) != CRUMB_OK) {
        return 1;
    }
    for (int i = first; i < argc; i++) {
        run_folder(ctx, argv[i], verbose, pack);
    }
    int total[3] = {0}, packed[3] = {0};
    qsort(tallies, (size_t)ops, sizeof(tallies[0]), by_name);
    printf("%-28s %8s %8s %12s%s\n", "op", "passed", "failed", "unsupported", pack ? "   packed:  failed  unsupported" : "");
    for (int i = 0; i < ops; i++) {
        for (int v = 0; v < 3; v++) {
            total[v] += tallies[i].count[v];
            packed[v] += tallies[i].packed[v];
        }
        if (tallies[i].count[PASSED] + tallies[i].count[FAILED] > 0 || verbose) {
            print_row(tallies[i].op, tallies[i].count, tallies[i].packed, pack);
        }
    }
    print_row("all", total, packed, pack);
    crumb_ctx_destroy(ctx);
    if (total[PASSED] + total[FAILED] + total[UNSUPPORTED] == 0) {
        fprintf(stderr, "onnx_conformance: no test_*/model.onnx in %s\n", first < argc ? argv[first] : "no folder");
        return 1;
    }
    return total[FAILED] + packed[FAILED] > 0;
}
