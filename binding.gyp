# Builds the addon with node-gyp: prebuilds, and users' machines without a fitting one. CMakeLists.txt builds the same
# sources in development, where warnings are errors; here a compiler newer than ours must not stop an installation.
{
  "targets": [{
    "target_name": "tensorrt_node",
    "sources": ["<!@(node -p \"require('fs').readFileSync('native/sources.txt', 'utf8').match(/^native.*/gm).join(' ')\")", "<!@(node scripts/build-kernels.mjs)"],
    "include_dirs": ["native"],
    "defines": ["NAPI_VERSION=8", "NODE_ADDON_API_CPP_EXCEPTIONS", "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"],
    "cflags!": ["-fno-exceptions"],
    "cflags_cc!": ["-fno-exceptions", "-fno-rtti", "-std=gnu++17", "-std=gnu++20"],
    "cflags_cc": [
      "-std=c++20", "-Wall", "-Wextra", "-fvisibility=hidden", "-fvisibility-inlines-hidden",
      "<!@(node scripts/sdk/include-flags.mjs)"
    ],
    "ldflags": [
      "-static-libstdc++", "-Wl,--version-script=<(module_root_dir)/native/binding/exports.map", "-Wl,--gc-sections"
    ]
  }]
}
