/* Serves a register image (address,value lines) with libmodbus: libmodbus_server CSV
   Writes "port N" when it listens; several connections; ends with its standard input. */
#include <arpa/inet.h>
#include <errno.h>
#include <modbus/modbus.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_CONNECTIONS 16

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    FILE *csv = fopen(argv[1], "r");
    if (csv == NULL)
        return 1;
    char line[64];
    int first = -1, count = 0, address, value;
    static uint16_t values[65536];
    while (fgets(line, sizeof line, csv) != NULL) {
        if (sscanf(line, "%d,%d", &address, &value) != 2 || address < 0 || address > 65535)
            continue;
        if (first < 0)
            first = address;
        if (address != first + count)
            return 1;
        values[count++] = (uint16_t)value;
    }
    fclose(csv);
    if (count == 0)
        return 1;

    modbus_mapping_t *map = modbus_mapping_new_start_address(0, 0, 0, 0, (unsigned)first, (unsigned)count, 0, 0);
    modbus_t *context = modbus_new_tcp("127.0.0.1", 0);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in local = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof local;
    if (map == NULL || context == NULL || listener < 0 || bind(listener, (struct sockaddr *)&local, size) != 0 ||
        listen(listener, MAX_CONNECTIONS) != 0 || getsockname(listener, (struct sockaddr *)&local, &size) != 0)
        return 1;
    for (int n = 0; n < count; n++)
        map->tab_registers[n] = values[n];
    printf("port %d\n", ntohs(local.sin_port));
    fflush(stdout);

    struct pollfd watched[MAX_CONNECTIONS + 2] = {{0, POLLIN, 0}, {listener, POLLIN, 0}};
    nfds_t used = 2;
    uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
    for (;;) {
        if (poll(watched, used, -1) < 0 && errno != EINTR)
            return 1;
        if (watched[0].revents)
            return 0;
        for (nfds_t n = 2; n < used; n++) {
            if (!watched[n].revents)
                continue;
            modbus_set_socket(context, watched[n].fd);
            int length = modbus_receive(context, query);
            if (length > 0)
                length = modbus_reply(context, query, length, map);
            if (length == -1) {
                close(watched[n].fd);
                watched[n--] = watched[--used];
            }
        }
        if (watched[1].revents) {
            int accepted = accept(listener, NULL, NULL);
            if (accepted >= 0 && used < MAX_CONNECTIONS + 2)
                watched[used++] = (struct pollfd){accepted, POLLIN, 0};
            else if (accepted >= 0)
                close(accepted);
        }
    }
}
