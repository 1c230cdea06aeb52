"""Any functional Keras model as a backbone: of keras.applications, of the user's own code, or in a file."""
