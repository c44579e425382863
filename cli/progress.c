/* Progress on stderr: a bar on a terminal, ten times a second; elsewhere a plain line every ten seconds. And the signals that
 * ask a long command to stop at the next step. */
#include "cli.h"

#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

void cli_progress_begin(cli_progress *progress, const cli *self) {
    *progress = (cli_progress){.self = self, .terminal = isatty(STDERR_FILENO), .begun = now(), .drawn = now()};
}

bool cli_progress_due(cli_progress *progress) {
    if (progress->self->common.quiet) {
        return false;
    }
    double time = now();
    if (time - progress->drawn < (progress->terminal ? 0.1 : 10)) {
        return false;
    }
    progress->drawn = time;
    return true;
}

static int terminal_width(void) {
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 80;
}

void cli_progress_draw(cli_progress *progress, double fraction, const char *before, const char *after) {
    if (!progress->terminal) {
        fprintf(stderr, "%s  %s\n", before, after);
        return;
    }
    char bar[64];
    int room = terminal_width() - (int)strlen(before) - (int)strlen(after) - 7;
    int width = room < 0 ? 0 : room < 40 ? room : 40;
    int filled = (int)(fraction * width);
    for (int i = 0; i < width; i++) {
        bar[i] = i < filled ? '=' : i == filled ? '>' : ' ';
    }
    bar[width] = '\0';
    fprintf(stderr, "\r\033[K%s [%s%s%s] %s", before, cli_style(stderr, "\033[32m"), bar, cli_style(stderr, "\033[0m"), after);
    fflush(stderr);
}

void cli_progress_end(cli_progress *progress) {
    if (progress->terminal && !progress->self->common.quiet) {
        fprintf(stderr, "\r\033[K");
    }
}

bool cli_count_progress(void *user, int64_t done, int64_t total) {
    cli_progress *progress = user;
    if (total > 0 && cli_progress_due(progress)) {
        double spent = now() - progress->begun, rate = spent > 0 ? (double)done / spent : 0;
        char before[64], after[96], left[CLI_NUMBER];
        snprintf(before, sizeof(before), "%lld/%lld", (long long)done, (long long)total);
        snprintf(after, sizeof(after), "%.0f images/s  %s left", rate, cli_duration((double)(total - done) / rate, left));
        cli_progress_draw(progress, (double)done / (double)total, before, after);
    }
    return !cli_interrupted();
}

static volatile sig_atomic_t interrupted;

static void note_signal(int number) {
    (void)number;
    interrupted = 1;
}

void cli_catch_signals(void) {
    struct sigaction action = {.sa_handler = note_signal, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool cli_interrupted(void) {
    return interrupted != 0;
}
