from multibuild.cli.startup import run

if __name__ == "__main__":
    run()
