/* SPDX-License-Identifier: Apache-2.0 */
/* The version number. The build reads it from this file. */
#ifndef FANIN_VERSION_H
#define FANIN_VERSION_H

#define FANIN_VERSION_MAJOR 0
#define FANIN_VERSION_MINOR 2
#define FANIN_VERSION_PATCH 0
#define FANIN_VERSION "0.2.0"

/* Version of the value contract, docs/VALUES.md. It changes with any bit of any fill. Store it with the seed. */
#define FANIN_CONTRACT_VERSION 1

#endif
