/*
 * Fuzz the configurations of realms, which are TOML: any text is a configuration that can be printed, or one
 * line with its place. Input: the text.
 */
#include "input.h"

#include "plan/realm/config.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct realm_config config;
	struct error error = {0};
	char text[512];
	if (realm_config_init(&config) == 0) {
		int ret =
			realm_config_parse(&config, CONFIG_REALM, (const char *)data, size, "config", &error);
		require((ret < 0) == (error.message[0] != '\0') && strchr(error.message, '\n') == NULL);
		for (int key = 0; key < REALM_KEYS; key++) {
			realm_value_print(&config, (enum realm_key)key, text, sizeof(text));
			require(memchr(text, '\0', sizeof(text)) != NULL);
		}
	}
	realm_config_finish(&config);
	return 0;
}
