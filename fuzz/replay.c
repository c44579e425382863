/* Feeds files to a fuzz target without a fuzzer: the tests replay every seed and every input that once crashed, in the normal
 * and in the sanitizer build, with whatever compiler there is. Arguments are files and folders. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static long replay_file(const char *path, const struct stat *about) {
    FILE *file = fopen(path, "rb");
    size_t size = (size_t)about->st_size;
    uint8_t *data = malloc(size > 0 ? size : 1);
    if (file == NULL || data == NULL || fread(data, 1, size, file) != size) {
        fprintf(stderr, "replay: cannot read %s\n", path);
        exit(1);
    }
    fclose(file);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    return 1;
}

static long replay(const char *path) {
    struct stat about;
    if (stat(path, &about) != 0) {
        fprintf(stderr, "replay: no %s\n", path);
        exit(1);
    }
    if (!S_ISDIR(about.st_mode)) {
        return replay_file(path, &about);
    }
    long count = 0;
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] != '.') {
            char name[4096];
            snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
            count += replay(name);
        }
    }
    closedir(folder);
    return count;
}

int main(int argc, char **argv) {
    long count = 0;
    for (int i = 1; i < argc; i++) {
        count += replay(argv[i]);
    }
    printf("replayed %ld inputs\n", count);
    return count > 0 ? 0 : 1;
}
