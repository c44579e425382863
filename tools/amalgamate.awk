# Does the work of tools/amalgamate: reads the sources named on the command line, writes one.

function fail(message) {
    print "amalgamate: " message > "/dev/stderr"
    failed = 1
    exit 1
}

function slurp(path,    text, line, got) {
    while ((got = (getline line < path)) > 0) {
        text = text line "\n"
    }
    if (got < 0) {
        fail(path " cannot be read")
    }
    close(path)
    return text
}

# Where an include in quotes lies: below include, src or beside the file.
function find(name, from,    path) {
    if (name ~ /^crumb\//) {
        return "include/" name
    }
    path = "src/" name
    if ((getline trash < path) >= 0) {
        close(path)
        return path
    }
    sub(/[^\/]*$/, "", from)
    return from name
}

# A file's text; headers in quotes go to `headers`, once and in order, other includes in quotes in place.
function expand(path,    lines, n, i, text, name, found, header) {
    n = split(slurp(path), lines, "\n")
    for (i = 1; i < n; i++) {
        if (lines[i] ~ /^ *# *include +"/) {
            name = lines[i]
            gsub(/^[^"]*"|"[^"]*$/, "", name)
            found = find(name, path)
            if (name !~ /\.h$/) {
                includes[path] = includes[path] " " found
                text = text expand(found)
                continue
            }
            includes[path] = includes[path] " " found
            if (found !~ /^include\// && !(found in seen)) {
                seen[found] = 1
                header = expand(found) # which may add headers of its own
                headers = headers "\n" header
            }
        } else {
            text = text lines[i] "\n"
        }
    }
    return text
}

# The next token of `rest` into `token`, its kind into `kind`: w word, s space or comment, t text in quotes, p anything else.
function next_token() {
    kind = "p"
    if (match(rest, /^[A-Za-z_][A-Za-z0-9_]*/)) {
        kind = "w"
    } else if (match(rest, /^[ \t\n\\]+/)) {
        kind = "s"
    } else if (substr(rest, 1, 2) == "/*") {
        kind = "s"
        RLENGTH = index(rest, "*/") + 1
    } else if (substr(rest, 1, 2) == "//") {
        kind = "s"
        RLENGTH = index(rest, "\n") - 1
    } else if (match(rest, /^"([^"\\]|\\.)*"/) || match(rest, /^'([^'\\]|\\.)*'/)) {
        kind = "t"
    } else if (match(rest, /^\.?[0-9][A-Za-z0-9_.]*/) || match(rest, /^->/) || match(rest, /^##/)) {
        kind = "p"
    } else {
        RLENGTH = 1
    }
    token = substr(rest, 1, RLENGTH)
    rest = substr(rest, RLENGTH + 1)
}

function own(name) {
    if (name !~ /^(crumb_|CRUMB_|_[A-Z_])/ && !(name in reserved)) {
        mine[name] = 1
    }
}

# Macros of a text: names, and what they paste onto names ("tile_" of tile_##p).
function find_macros(text,    lines, n, i, line, name) {
    n = split(text, lines, "\n")
    for (i = 1; i < n; i++) {
        line = lines[i]
        while (line ~ /\\$/ && i < n) {
            line = substr(line, 1, length(line) - 1) " " lines[++i]
        }
        if (line ~ /^ *# *define +[A-Za-z_]/) {
            name = line
            sub(/^ *# *define +/, "", name)
            sub(/[^A-Za-z0-9_].*/, "", name)
            own(name)
            while (match(line, /[A-Za-z_][A-Za-z0-9_]*_##/)) {
                name = substr(line, RSTART, RLENGTH - 2)
                line = substr(line, RSTART + RLENGTH)
                if (name !~ /^(crumb_|CRUMB_)/) {
                    pasted[name] = 1
                }
            }
        }
    }
}

function without_directives(text,    lines, n, i, out) {
    n = split(text, lines, "\n")
    for (i = 1; i < n; i++) {
        if (lines[i] ~ /^ *#/) {
            while (lines[i] ~ /\\$/ && i < n) {
                i++
            }
        } else {
            out = out lines[i] "\n"
        }
    }
    return out
}

# Names that a source declares outside of functions. A declaration is seen as words and signs at depth 0; what it declares is the
# word before the first ( [ = ; or, of a type, the last one; enumerators are words at depth 1 of an enum after { or a comma.
function find_names(text,    depth, parens, declared, tag, last, enumerating, before, type, attribute) {
    rest = without_directives(text)
    depth = parens = 0
    declared = last = before = ""
    while (rest != "") {
        next_token()
        if (kind == "s" || kind == "t") {
            continue
        }
        if (kind == "w" && depth == 0 && parens == 0) {
            if (token == "typedef") {
                type = 1
            } else if (token == "__attribute__") {
                attribute = 1
            } else if (last == "struct" || last == "enum" || last == "union") {
                tag = token
            }
            enumerating = token == "enum" ? 1 : enumerating
        } else if (kind == "w" && depth == 1 && enumerating && (before == "{" || before == ",")) {
            own(token)
        } else if (token == "(" && depth == 0) {
            if (parens++ == 0 && declared == "" && !attribute && last ~ /^[A-Za-z_]/ && last !~ /^CRUMB_/) {
                declared = last
            }
        } else if (token == ")" && depth == 0) {
            if (--parens == 0) {
                attribute = 0
            }
        } else if (token == "{") {
            if (depth++ == 0 && tag != "" && last == tag) {
                own(tag)
            }
        } else if (token == "}") {
            if (--depth == 0 && declared != "" && !type && !enumerating && !assigned) {
                own(declared)
                declared = ""
            }
        } else if ((token == "=" || token == "[") && depth == 0 && parens == 0 && declared == "") {
            declared = last
            assigned = 1
        } else if (token == ";" && depth == 0 && parens == 0) {
            own(declared != "" ? declared : last)
            declared = tag = ""
            type = enumerating = assigned = attribute = 0
        }
        if (depth == 0 && parens == 0) {
            if (token == "}" && !type && !enumerating && !assigned) {
                tag = ""
            }
            last = token
        }
        before = token
    }
}

# What may not be renamed after a dot or an arrow: words of the headers that a file includes, directly or not.
function find_foreign(path,    list, n, i) {
    if (path in visited) {
        return
    }
    visited[path] = 1
    n = split(includes[path], list, " ")
    for (i = 1; i <= n; i++) {
        if (list[i] ~ /\.h$/) {
            rest = slurp(list[i])
            while (rest != "") {
                next_token()
                if (kind == "w") {
                    foreign[token] = 1
                }
            }
        }
        find_foreign(list[i])
    }
}

function renamed(text, prefix,    out, before, name) {
    rest = text
    before = ""
    while (rest != "") {
        next_token()
        name = token
        if (kind == "w" && !((before == "." || before == "->") && (token in foreign)) && before != "include") {
            if (token in mine) {
                name = prefix token
            } else {
                for (p in pasted) {
                    name = index(token, p) == 1 ? prefix token : name
                }
            }
        }
        out = out name
        before = kind == "s" ? before : token
    }
    return out
}

function emit(path, text,    stem, suffix, prefix, name) {
    stem = path
    gsub(/^.*\/|\.c$/, "", stem)
    suffix = stem
    sub(/^.*__/, "", suffix)
    suffix = suffix == stem ? "" : suffix
    split("", mine)
    split("", pasted)
    split("", foreign)
    split("", visited)
    find_macros(text)
    find_names(text)
    find_foreign(path)
    prefix = stem "_"
    print "\n/* ==== " path " */"
    if (suffix in processor) {
        print "#if defined(" (processor[suffix] == "x86" ? "__x86_64__" : "__aarch64__") ")"
    }
    if (suffix in target) {
        print "#if defined(__clang__)\n#pragma clang attribute push(__attribute__((target(\"" target[suffix] "\"))), apply_to = function)"
        print "#else\n#pragma GCC push_options\n#pragma GCC target(\"" target[suffix] "\")\n#endif"
    }
    printf "%s", renamed(text, prefix)
    if (suffix in target) {
        print "#if defined(__clang__)\n#pragma clang attribute pop\n#else\n#pragma GCC pop_options\n#endif"
    }
    if (suffix in processor) {
        print "#endif"
    }
}

BEGIN {
    while ((getline line < instructions) > 0) {
        if (line ~ /^[a-z]/) {
            n = split(line, word, " ")
            processor[word[2]] = word[1]
            options = word[3]
            for (i = 4; i <= n; i++) {
                options = options "," word[i]
            }
            if (options != "") {
                target[word[2]] = options
            }
        }
    }
    n = split("static inline const void return sizeof defined include if else main struct enum union", word, " ")
    for (i = 1; i <= n; i++) {
        reserved[word[i]] = 1
    }
    for (i = 1; i < ARGC; i++) {
        body[i] = expand(ARGV[i])
    }
    print "/* crumb_run.c - runs packed networks: the library libcrumb_run as one file, written by tools/amalgamate from its sources."
    print " *\n *     cc -O2 crumb_run.c program.c -lm -lpthread\n *\n * run.h says how it is used. */"
    print "#ifndef _GNU_SOURCE\n#define _GNU_SOURCE\n#endif"
    print "#if defined(__clang__)\n#pragma clang fp contract(off)\n#elif defined(__GNUC__)"
    print "#pragma GCC optimize(\"O3\", \"fp-contract=off\", \"no-math-errno\", \"no-trapping-math\")\n#endif"
    print "#if defined(__x86_64__)\n#include <immintrin.h>\n#elif defined(__aarch64__)\n#include <arm_neon.h>\n#endif"
    print "#include \"run.h\""
    printf "%s", headers
    for (i = 1; i < ARGC; i++) {
        emit(ARGV[i], body[i])
    }
    exit failed
}
