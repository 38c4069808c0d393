"""PPO with hybrid actions: discrete choices and continuous parameters in one step."""
