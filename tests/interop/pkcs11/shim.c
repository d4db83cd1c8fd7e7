/* A PKCS#11 module before another one, which goes wrong where the control file says so.
 *
 * V2G_SHIM_MODULE: the module behind; V2G_SHIM_CONTROL: a file of lines "word number", read at every call:
 *   login_rv, sign_rv, generate_rv  return this CK_RV instead of calling on
 *   token_flags                     added to the flags of every token
 *   sign_delay_ms                   wait so long before signing
 *   sign_abort                      abort the process in C_Sign
 * Each C_Login adds one byte to V2G_SHIM_CONTROL.logins.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef unsigned long ulong_t;
typedef ulong_t (*call_t)();
struct functions {
    unsigned char version[2];
    call_t call[68];
};
enum { GET_TOKEN_INFO = 6, GET_FUNCTION_LIST = 3, LOGIN = 18, SIGN = 43, GENERATE_KEY_PAIR = 59 };
enum { FLAGS_OFFSET = 96 };

static struct functions ours, *theirs;

static ulong_t told(const char *word) {
    const char *path = getenv("V2G_SHIM_CONTROL");
    FILE *file = path ? fopen(path, "r") : NULL;
    char name[64];
    ulong_t value, found = 0;
    if (!file)
        return 0;
    while (fscanf(file, "%63s %lu", name, &value) == 2)
        if (strcmp(name, word) == 0)
            found = value;
    fclose(file);
    return found;
}

static ulong_t get_token_info(ulong_t slot, unsigned char *info) {
    ulong_t rv = theirs->call[GET_TOKEN_INFO](slot, info), flags;
    if (rv == 0) {
        memcpy(&flags, info + FLAGS_OFFSET, sizeof flags);
        flags |= told("token_flags");
        memcpy(info + FLAGS_OFFSET, &flags, sizeof flags);
    }
    return rv;
}

static ulong_t login(ulong_t session, ulong_t user, unsigned char *pin, ulong_t length) {
    char path[4096];
    FILE *file;
    ulong_t rv = told("login_rv");
    snprintf(path, sizeof path, "%s.logins", getenv("V2G_SHIM_CONTROL"));
    if ((file = fopen(path, "a"))) {
        fputc('x', file);
        fclose(file);
    }
    return rv ? rv : theirs->call[LOGIN](session, user, pin, length);
}

static ulong_t sign(ulong_t session, unsigned char *data, ulong_t length, unsigned char *out, ulong_t *out_length) {
    ulong_t rv = told("sign_rv"), delay = told("sign_delay_ms");
    if (out && delay) {
        struct timespec wait = {delay / 1000, delay % 1000 * 1000000};
        nanosleep(&wait, NULL);
    }
    if (told("sign_abort"))
        abort();
    return rv ? rv : theirs->call[SIGN](session, data, length, out, out_length);
}

static ulong_t generate(ulong_t s, void *m, void *a, ulong_t n, void *b, ulong_t k, ulong_t *x, ulong_t *y) {
    ulong_t rv = told("generate_rv");
    return rv ? rv : theirs->call[GENERATE_KEY_PAIR](s, m, a, n, b, k, x, y);
}

ulong_t C_GetFunctionList(struct functions **list) {
    if (!theirs) {
        void *module = dlopen(getenv("V2G_SHIM_MODULE"), RTLD_NOW | RTLD_LOCAL);
        ulong_t (*get)(struct functions **) = module ? dlsym(module, "C_GetFunctionList") : NULL;
        if (!get || get(&theirs) != 0)
            return 5;
        ours = *theirs;
        ours.call[GET_FUNCTION_LIST] = (call_t)C_GetFunctionList;
        ours.call[GET_TOKEN_INFO] = (call_t)get_token_info;
        ours.call[LOGIN] = (call_t)login;
        ours.call[SIGN] = (call_t)sign;
        ours.call[GENERATE_KEY_PAIR] = (call_t)generate;
    }
    *list = &ours;
    return 0;
}
