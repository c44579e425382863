/* The command's entry: the table of subcommands, the context, exit codes (0 done, 1 failed, 2 usage). */
#include "cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const cli_command *const cli_commands[] = {
    &cli_train, &cli_compare, &cli_surface, &cli_eval, &cli_pack, &cli_verify, &cli_run, &cli_export, &cli_info,
    &cli_data, &cli_import, &cli_bench, &cli_report, &cli_completion, &cli_manual, NULL,
};

int cli_visible_commands(void) {
    int count = 0;
    while (cli_commands[count] != NULL && !cli_commands[count]->plain) {
        count++;
    }
    return count;
}

const char *cli_environment(void *user, const char *name) {
    (void)user;
    return getenv(name);
}

static const cli_command *find_command(const char *name) {
    for (int i = 0; cli_commands[i] != NULL; i++) {
        if (strcmp(cli_commands[i]->name, name) == 0) {
            return cli_commands[i];
        }
    }
    return NULL;
}

static int unknown_command(const char *name) {
    const char *names[32];
    size_t count = 0;
    for (; cli_commands[count] != NULL; count++) {
        names[count] = cli_commands[count]->name;
    }
    const char *near = crumb_nearest(name, names, count);
    cli nobody = {0};
    return near != NULL ? cli_usage(&nobody, "no command \"%s\"; did you mean \"%s\"?", name, near)
                        : cli_usage(&nobody, "no command \"%s\"", name);
}

/* CRUMB_CPU limits the instructions used; the library itself reads no environment. */
static int make_context(cli *self) {
    const char *limit = getenv("CRUMB_CPU");
    crumb_settings settings = {.log = cli_log,
                               .log_user = self,
                               .threads = (int)self->common.threads.value,
                               .cpu_limit = limit != NULL && limit[0] != '\0' ? limit : NULL};
    crumb_status status = crumb_ctx_create(&self->ctx, &settings);
    if (status == CRUMB_ERROR_ARGUMENT) {
        return cli_usage(self, "CRUMB_CPU=%s is none of scalar, avx2, avxvnni, avx512, neon", limit);
    }
    return status == CRUMB_OK ? CLI_DONE : cli_fail(self, "%s", crumb_status_text(status));
}

static int run(cli *self, int argc, char **argv) {
    void *options = calloc(1, self->command->size > 0 ? self->command->size : 1);
    self->argument = calloc((size_t)argc + 1, sizeof(*self->argument));
    int code = options != NULL && self->argument != NULL ? CLI_DONE : cli_fail(self, "out of memory");
    if (code == CLI_DONE) {
        code = cli_parse(self, argc, argv, options);
    }
    if (code == CLI_DONE && self->common.help) {
        cli_help_command(self->command, stdout);
    } else if (code == CLI_DONE) {
        code = self->command->plain ? CLI_DONE : make_context(self);
        code = code == CLI_DONE ? self->command->run(self, options) : code;
    }
    crumb_ctx_destroy(self->ctx);
    free(self->argument);
    free(options);
    return code;
}

/* A full disk or a closed pipe must not pass as success. */
static int finish(const cli *self, int code) {
    errno = 0;
    if ((fflush(stdout) != 0 || ferror(stdout)) && code == CLI_DONE) {
        return cli_fail(self, "cannot write to stdout: %s", strerror(errno));
    }
    return code;
}

int main(int argc, char **argv) {
    cli self = {0};
    const char *name = argc > 1 ? argv[1] : "";
    if (strcmp(name, "--version") == 0) {
        printf("crumb %s\n", CRUMB_VERSION);
        return finish(&self, CLI_DONE);
    }
    bool help = strcmp(name, "help") == 0;
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || (help && argc == 2)) {
        cli_help(stdout);
        return finish(&self, CLI_DONE);
    }
    if (argc < 2) {
        cli_help(stderr);
        return CLI_USAGE;
    }
    if (name[0] == '-') {
        return cli_usage(&self, "no option %s before a command", name);
    }
    self.command = find_command(help ? argv[2] : name);
    if (self.command == NULL) {
        return unknown_command(help ? argv[2] : name);
    }
    if (help) {
        cli_help_command(self.command, stdout);
        return finish(&self, CLI_DONE);
    }
    cli_wait_briefly(argv);
    return finish(&self, run(&self, argc - 2, argv + 2));
}
