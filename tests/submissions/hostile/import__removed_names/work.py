import sys

for name in [n for n in sys.modules if n.startswith(("autograder", "json", "struct", "traceback"))]:
    del sys.modules[name]
sys.meta_path.clear()
sys.path.clear()
