{
  "targets": [
    {
      "target_name": "vamos",
      "type": "none",
      "actions": [
        {
          "action_name": "cmake",
          "inputs": ["native/CMakeLists.txt"],
          "outputs": ["build/native/vamos_channel.node"],
          "action": ["node", "scripts/native.mjs"]
        }
      ]
    }
  ]
}
