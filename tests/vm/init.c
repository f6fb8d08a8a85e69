/* The virtual pole's first process: load the modules, mount the shares, hand over to systemd. Linked statically.

   Argument file /plan, one step a line: "module FILE", "share TAG PLACE ro|rw", "bind FROM TO". */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void give_up(const char *what, const char *which)
{
    fprintf(stderr, "init: %s %s: %s\n", what, which, strerror(errno));
    fflush(stderr);
    reboot(RB_POWER_OFF);
}

static void step(const char *kind, const char *first, const char *second, const char *third)
{
    if (!strcmp(kind, "module")) {
        int file = open(first, O_RDONLY);
        if (syscall(SYS_finit_module, file, "", 0) != 0 && errno != EEXIST)
            give_up(kind, first);
        close(file);
    } else if (!strcmp(kind, "share")) {
        const char *options = "trans=virtio,version=9p2000.L,msize=524288,cache=loose";
        if (mount(first, second, "9p", strcmp(third, "ro") ? 0 : MS_RDONLY, options) != 0)
            give_up(kind, second);
    } else if (mount(first, second, NULL, MS_BIND, NULL) != 0) {
        give_up(kind, second);
    }
}

int main(void)
{
    char line[1024], kind[16], first[400], second[400], third[16];
    FILE *plan;

    mount("dev", "/dev", "devtmpfs", 0, NULL);
    freopen("/dev/console", "w", stderr);
    plan = fopen("/plan", "r");
    if (plan == NULL)
        give_up("plan", "/plan");
    while (fgets(line, sizeof line, plan) != NULL) {
        first[0] = second[0] = third[0] = '\0';
        if (sscanf(line, "%15s %399s %399s %15s", kind, first, second, third) > 1)
            step(kind, first, second, third);
    }
    fclose(plan);
    if (chdir("/pole") != 0 || mount("/dev", "dev", NULL, MS_MOVE, NULL) != 0 ||
        mount(".", "/", NULL, MS_MOVE, NULL) != 0 || chroot(".") != 0 || chdir("/") != 0)
        give_up("root", "/pole");
    execl("/usr/lib/systemd/systemd", "systemd", (char *)NULL);
    give_up("start", "systemd");
    return 1;
}
