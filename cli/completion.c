/* crumb completion SHELL: completion scripts for bash, zsh and fish, written from the tables of commands, options and kinds. */
#include "cli.h"

#include <string.h>

/* Every name of a kind, each with `suffix` behind it. */
static void kind_words(crumb_kind kind, const char *suffix) {
    crumb_entry entry;
    for (int i = 0; crumb_kind_entry(kind, i, &entry); i++) {
        printf("%s%s%s", i > 0 ? " " : "", entry.name, suffix);
    }
}

static void info_words(void) {
    for (int k = 0; k < CRUMB_KINDS; k++) {
        printf("%s%s ", k > 0 ? " " : "", crumb_kind_name((crumb_kind)k));
        kind_words((crumb_kind)k, "");
    }
}

/* The words that an offer stands for, "" where it is files or folders. */
static void offered_words(cli_offer offer, const char *words) {
    if (offer == CLI_OFFER_MODELS) {
        kind_words(CRUMB_KIND_MODEL, "");
    } else if (offer == CLI_OFFER_DATA) {
        kind_words(CRUMB_KIND_LOADER, ":");
    } else if (offer == CLI_OFFER_WORDS && words != NULL) {
        printf("%s", words);
    } else if (offer == CLI_OFFER_WORDS) {
        info_words();
    }
}

static bool offers_files(const cli_command *command) {
    return command->offer == CLI_OFFER_FILES || command->offer == CLI_OFFER_WORDS;
}

/* ---- bash. */

static void bash_values(const cli_option *options) {
    for (const cli_option *option = options; option != NULL && option->name != NULL; option++) {
        if (option->type == CLI_FLAG) {
            continue;
        }
        printf("        --%s", option->name);
        if (option->letter != 0) {
            printf("|-%c", option->letter);
        }
        printf(") ");
        if (option->offer == CLI_OFFER_FILES || option->offer == CLI_OFFER_FOLDERS) {
            printf("COMPREPLY=($(compgen -%c -- \"$word\")); ", option->offer == CLI_OFFER_FILES ? 'f' : 'd');
        } else if (option->offer != CLI_OFFER_NOTHING) {
            printf("COMPREPLY=($(compgen -W \"");
            offered_words(option->offer, NULL);
            printf("\" -- \"$word\")); ");
        }
        printf("return ;;\n");
    }
}

static void bash_names(const cli_option *options) {
    for (const cli_option *option = options; option != NULL && option->name != NULL; option++) {
        printf(" --%s", option->name);
    }
}

static void bash(void) {
    printf("# bash completion for crumb, written by `crumb completion bash`.\n"
           "_crumb() {\n"
           "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} options words\n"
           "    COMPREPLY=()\n"
           "    if [[ $before == : || $word == : ]]; then # KIND:PATH, which bash takes for three words\n"
           "        COMPREPLY=($(compgen -f -- \"${word#:}\"))\n"
           "        return\n"
           "    fi\n"
           "    if [[ $COMP_CWORD == 1 ]]; then\n"
           "        COMPREPLY=($(compgen -W \"");
    for (int i = 0; cli_commands[i] != &cli_manual; i++) {
        printf("%s ", cli_commands[i]->name);
    }
    printf("help --help --version\" -- \"$word\"))\n        return\n    fi\n    case ${COMP_WORDS[1]} in\n");
    for (int i = 0; cli_commands[i] != &cli_manual; i++) {
        const cli_command *command = cli_commands[i];
        printf("    %s)\n        case $before in\n", command->name);
        bash_values(command->options);
        if (!command->plain) {
            bash_values(cli_common_options);
        }
        printf("        esac\n        options=\"");
        bash_names(command->options);
        if (!command->plain) {
            bash_names(cli_common_options);
        }
        printf("\"\n        words=\"");
        offered_words(command->offer, command->words);
        printf("\"\n        [[ $word == -* ]] || COMPREPLY=($(compgen %s-W \"$words\" -- \"$word\")) ;;\n",
               offers_files(command) ? "-f " : "");
    }
    printf("    esac\n    [[ $word != -* ]] || COMPREPLY=($(compgen -W \"$options\" -- \"$word\"))\n}\n"
           "complete -o filenames -F _crumb crumb\n");
}

/* ---- zsh. */

/* Text inside '...[...]' of _arguments. */
static void zsh_text(const char *text) {
    for (; *text != '\0'; text++) {
        if (*text == '\'') {
            fputs("'\\''", stdout);
        } else if (strchr("[]:\\", *text) != NULL) {
            printf("\\%c", *text);
        } else {
            putchar(*text);
        }
    }
}

static void zsh_action(cli_offer offer, const char *words) {
    if (offer == CLI_OFFER_FILES || offer == CLI_OFFER_FOLDERS) {
        printf("%s", offer == CLI_OFFER_FILES ? "_files" : "_files -/");
    } else if (offer == CLI_OFFER_DATA) {
        printf("{compadd -S \"\" ");
        kind_words(CRUMB_KIND_LOADER, "\\:");
        printf("}");
    } else if (offer != CLI_OFFER_NOTHING) {
        printf("{_files; compadd ");
        offered_words(offer, words);
        printf("}");
    }
}

static void zsh_options(const cli_option *options) {
    for (const cli_option *option = options; option != NULL && option->name != NULL; option++) {
        printf(" \\\n            '%s--%s%s[", option->type == CLI_TEXTS ? "*" : "", option->name,
               option->type == CLI_FLAG ? "" : "=");
        zsh_text(option->doc);
        printf("]");
        if (option->type != CLI_FLAG) {
            printf(":");
            zsh_text(option->value);
            printf(":");
            zsh_action(option->offer, NULL);
        }
        printf("'");
    }
}

static void zsh(void) {
    printf("#compdef crumb\n# zsh completion for crumb, written by `crumb completion zsh`.\n"
           "_crumb() {\n    local -a commands=(\n");
    for (int i = 0; cli_commands[i] != &cli_manual; i++) {
        printf("        '%s:", cli_commands[i]->name);
        zsh_text(cli_commands[i]->summary);
        printf("'\n");
    }
    printf("    )\n    if ((CURRENT == 2)); then\n        _describe command commands\n        return\n    fi\n"
           "    local command=$words[2]\n    shift words\n    ((CURRENT--))\n    case $command in\n");
    for (int i = 0; cli_commands[i] != &cli_manual; i++) {
        const cli_command *command = cli_commands[i];
        printf("    %s)\n        _arguments", command->name);
        zsh_options(command->options);
        if (!command->plain) {
            zsh_options(cli_common_options);
        }
        printf(" \\\n            '*:");
        zsh_text(command->arguments);
        printf(":");
        zsh_action(command->offer, command->words);
        printf("' ;;\n");
    }
    printf("    esac\n}\n_crumb \"$@\"\n");
}

/* ---- fish. */

static void fish_text(const char *text) {
    for (; *text != '\0'; text++) {
        printf("%s%c", *text == '\'' || *text == '\\' ? "\\" : "", *text);
    }
}

static void fish_options(const char *command, const cli_option *options) {
    for (const cli_option *option = options; option != NULL && option->name != NULL; option++) {
        printf("complete -c crumb -n '__fish_seen_subcommand_from %s' -l %s", command, option->name);
        if (option->letter != 0) {
            printf(" -s %c", option->letter);
        }
        if (option->type != CLI_FLAG) {
            bool paths = option->offer == CLI_OFFER_FILES || option->offer == CLI_OFFER_FOLDERS;
            printf(" -r%s", paths ? " -F" : "");
            if (!paths && option->offer != CLI_OFFER_NOTHING) {
                printf(" -a '");
                offered_words(option->offer, NULL);
                printf("'");
            }
        }
        printf(" -d '");
        fish_text(option->doc);
        printf("'\n");
    }
}

static void fish(void) {
    printf("# fish completion for crumb, written by `crumb completion fish`.\n");
    for (int i = 0; cli_commands[i] != &cli_manual; i++) {
        const cli_command *command = cli_commands[i];
        printf("complete -c crumb -f -n __fish_use_subcommand -a %s -d '", command->name);
        fish_text(command->summary);
        printf("'\n");
        if (command->offer != CLI_OFFER_NOTHING) {
            printf("complete -c crumb %s -n '__fish_seen_subcommand_from %s'", offers_files(command) ? "-F" : "-f",
                   command->name);
            if (command->offer != CLI_OFFER_FILES) {
                printf(" -a '");
                offered_words(command->offer, command->words);
                printf("'");
            }
            printf("\n");
        }
        fish_options(command->name, command->options);
        if (!command->plain) {
            fish_options(command->name, cli_common_options);
        }
    }
}

static int run(cli *self, const void *options) {
    static const struct {
        const char *name;
        void (*write)(void);
    } shells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};
    (void)options;
    for (int i = 0; i < 3; i++) {
        if (strcmp(self->argument[0], shells[i].name) == 0) {
            shells[i].write();
            return CLI_DONE;
        }
    }
    return cli_usage(self, "no completion for \"%s\"; there is bash, zsh, fish", self->argument[0]);
}

const cli_command cli_completion = {
    .name = "completion",
    .arguments = "SHELL",
    .summary = "write the completion script of bash, zsh or fish",
    .examples = "source <(crumb completion bash)\n"
                "crumb completion zsh > ~/.zsh/completions/_crumb\n"
                "crumb completion fish > ~/.config/fish/completions/crumb.fish\n",
    .min_arguments = 1,
    .max_arguments = 1,
    .offer = CLI_OFFER_WORDS,
    .words = "bash zsh fish",
    .plain = true,
    .run = run,
};
