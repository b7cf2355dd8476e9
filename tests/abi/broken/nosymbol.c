/*
 * nosymbol.c - a shared object that is no module; only for tests
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
__attribute__((visibility("default"))) int not_a_module(void);

int not_a_module(void) { return 0; }
